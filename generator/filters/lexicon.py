"""Which words are words: an English dictionary, the vocabulary of radiology and pathology, and the embedded grammars.

The dictionary is that of symspellpy: 82,765 words, each both in a spelling word list (SCOWL) and in Google's books. The
medical list is our own, with what regular endings make of it. A job of another kind of text or another language adds
words of its own (`filters: nonwords: options.words` and `lexicon`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files

from medim_forge.generator.filters.text import words
from medim_forge.generator.phantoms import GRAMMARS, sentences

SHORT = 3  # letters; shorter strings are units, initials and abbreviations
_DICTIONARY = "frequency_dictionary_en_82_765.txt"
# The dictionary spells the British way: what an American spelling may stand for.
_RESPELLED = (
    *(("e", "ae"), ("e", "oe"), ("or", "our"), (r"er(?=s?$)", "re")),
    *(("yz", "ys"), ("iz", "is"), (r"l(?=ed$|ing$)", "ll")),
)

_MEDICAL = """
abdomen abnormal abnormality abscess acinar acini acromioclavicular acute adenocarcinoma adenoma adenopathy adipose
aerated aeration aicd air airspace airway alveolar alveoli aminotransferase anaplastic anatomic anemia aneurysm angle
angulate angulation anterior anterolateral anterolisthesis anteroposterior antibiotic antiretroviral aorta aortic
aortopulmonary apex apical apices apoptotic appendage arch architecture arrest arrhythmia arterial arteriogram
arteriographic artery arthritis arthroplasty artifact aspergilloma aspirate aspiration asthma asymmetric atelectasis
atelectatic atheroma atrial atrium atypia atypical auscultation autoimmune axial axilla axillary azithromycin
azygoesophageal azygos bacteria bandlike basal base basilic basophilic biapical bibasal bibasilar bicarinal bihilar
bilateral biopsy biventricular bladder blast blood blunt blunting bochdalek bone bony bowel brachiocephalic breast
bronchi bronchial bronchiectasis bronchiectatic bronchiolar bronchiolitis bronchitic bronchoalveolar bronchogram
bronchopleural bronchopneumonia bronchopulmonary bronchovascular bronchus bulge bulla bullae bullous bypass cabg
calcaneal calcific calcification calcified calcify cancer candidiasis capillary capsule carcinoma cardia cardiac
cardiogenic cardiomediastinal cardiomegaly cardiophrenic cardiopulmonary cardiothoracic cardiovascular carina
carinatum cartilage catheter caudal cava caval cavitary cavitate cavitation cavity cavoatrial cavogram ceftriaxone
cell cellular cellularity central cephalad cephalization cephalosporin cerclage cervical cervicothoracic chamber
cholecystectomy cholelithiasis chondral chromatin chronic cirrhosis clavicle clavicular clip clot coarse coarsen
coccidioidomycosis collagen collapse collapsed colon columnar comorbidity congestion congestive consolidate
consolidation consolidative convex copd coracoclavicular coracoid coronal coronary coronavirus cortex cortical
corticated cortication costal costochondral costodiaphragmatic costophrenic costovertebral covid crackle cranial
craniocaudal crypt cuboidal cyanosis cyst cystic cytologic cytology cytoplasm cytoplasmic decubitus degeneration
degenerative demarcate dermal desmoplastic device dextrocardia dextrocurvature dextroscoliosis diabetes dialysis
diaphragm diaphragmatic differentiate differentiation dilatation dilate dilated dimer disc discrete dislocation distal
distend distension dobhoff dorsal drain drainage dual duct ductal ductular dysplasia dysplastic dyspnea echocardiogram
echocardiography ectasia ectatic edema edematous effusion electrode elongate embolic embolism embolus emphysema
emphysematous empyema enchondroma endobronchial endothelial endothelium endotracheal endplate enteric enthesopathy
enthesophyte eosin eosinophil eosinophilic epicardial epicardium epidermis epigastric epigastrium epipericardial
epithelial epithelioid epithelium erosion esophageal esophagectomy esophagogastric esophagram esophagus eventration
excavatum expansile extrapleural extrathoracic extubate extubation exudate fascia fat fatty femoral ferritin
fibrillation fibroadenoma fibroblast fibromuscular fibronodular fibrosis fibrotic fibrous fissure fistula fluid
fluoroscopic fluoroscopy foci foley follicle follicular foreign fracture frontal fundus fungal fusion gallbladder
ganglion ganz gas gastric gastroesophageal gastrostomy ggo ggos gland glandular glenohumeral glenoid glomerular
glomeruli goblet granular granulation granulocyte granuloma granulomata granulomatous ground groundglass gut habitus
haemoptysis hamartoma haze hazy heart hematoma hematopoietic hematoxylin hemiabdomen hemidiaphragm hemidiaphragmatic
hemithorax hemodialysis hemodynamic hemoglobin hemopericardium hemopneumothorax hemoptysis hemorrhage hemorrhagic
hemothorax hepatic hepatocyte hepatomegaly hernia hiatal hiatus hickman hila hilar hilum histiocyte histiocytic
histologic histology histopathology histoplasmoma histoplasmosis humeral humerus hyaline hydropneumothorax hydrothorax
hydroxychloroquine hyperaerated hyperaeration hyperchromasia hyperchromatic hyperdense hyperexpand hyperinflate
hyperinflation hyperlucency hyperlucent hyperostosis hyperplasia hyperplastic hypertension hypertrophy hypoaeration
hypodense hypoinflated hypoinflation hypoplastic hypoventilation hypoventilatory hypovolemia hypoxaemia hypoxaemic
hypoxemia hypoxia icu idiopathic ileus iliac imaging immune immunocompromised immunohistochemical immunosuppressed
immunosuppression impression incidentaloma incision indistinct infarct infarction infect infection infectious inferior
infiltrate infiltration inflammation inflammatory influenza infracarinal infraclavicular infradiaphragmatic infrahilar
infusion inhalational injection inspiration inspiratory inspire insufficiency intensive intercellular intercostal
interferon interlobular internal interstitial interstitially interstitium intra intraductal intrapulmonary intrathecal
intrathoracic intravascular intubate intubation invasion invasive ischemia islet jejunal jewelry jirovecii jugular
juxtahilar keratin keratinize kerley kidney kyphoplasty kyphoscoliosis kyphosis kyphotic lamina laminectomy lateral
lateralize lavage lentiform lesion leucocytosis leukemia leukocyte leukocytosis leukopenia levocurvature levoscoliosis
ligament ligamentum lingula lingular lipoma liver lobar lobe lobectomy lobular lobulate lobule loculate loculated
loculation lordosis lordotic lucency lucent lumbar lumbosacral lumen lumina luminal lumpectomy lung lungs lymph
lymphadenopathy lymphangitic lymphatic lymphocyte lymphocytic lymphocytopenia lymphoid lymphoma lymphopenia
lymphoplasmacytic lymphoproliferative macrophage malignancy malignant malleoli malposition margination mass masslike
mastectomy matrix mechanical medial mediastinal mediastinoscopy mediastinotomy mediastinum mediport medulla melanin
melanoma mellitus membrane mesenchymal mesothelial metaphase metaplasia metaplastic metastases metastasis metastatic
microscopic midabdomen midaxillary midclavicular midfoot midline midlung midthoracic miliary mitoses mitosis mitotic
mitral mononuclear morgagni morphology mucin mucinous mucosa mucosal mucus multifocal multinodular muscle muscular
mycetoma mycobacterium mycoplasma myocardial myocarditis myocardium myofibroblast myxoid nasoenteric nasogastric
nasojejunal nasopharyngeal neck necrosis necrotic necrotizing needle neoplasm neoplastic nephrostomy nerve neural
neuroendocrine neuropathy neutrophil neutrophilia nipple nodal node nodular nodularity nodule nondisplaced nonspecific
nuclear nuclei nucleoli nucleolus nucleus obese obliterate obscure obstruct obstruction obstructive occluder occlusion
oligemia opacification opacified opacify opacity opaque organoaxial organomegaly orogastric oropharyngeal oropharynx
oseltamivir osseous osteoarthritic osteoarthritis osteoblastic osteocartilaginous osteochondroma osteodystrophy
osteolytic osteopenia osteopenic osteophyte osteophytic osteophytosis osteoporosis ovarian oxygen oxygenation
pacemaker palisade pancreas pancreatic panlobular papilla papillary parahilar paramediastinal paraseptal paraspinal
paratracheal paravertebral parenchyma parenchymal parietal patchy patellofemoral pathogen pathologic pathologist
pathology pectoralis pectus peribronchial peribronchovascular pericardial pericarditis pericardium perifissural
perihilar peripheral periphery peritoneal perivascular phlebolith phlegmon phrenic picc piriform plasma plate
platelike pleomorphic pleomorphism pleura pleural pleuritis pleurodesis pleuroparenchymal pleuropericardial
pleuropulmonary plexus pneumatocele pneumatosis pneumococcal pneumoconiosis pneumocystis pneumomediastinum
pneumonectomy pneumonia pneumonic pneumonitis pneumoperitoneum pneumothoraces pneumothorax polygonal polymorphous
polyp popliteal portable portacath posteroanterior posterobasal posterolateral posteromedial postop postoperative
postradiation postsurgical posttraumatic preop procalcitonin proliferate proliferation prostate prostatic prosthesis
prosthetic proximal pseudoaneurysm pseudocyst pseudostratified pseudotumor pulmonary pulmonic radiodense radiograph
radiographic radiographs radiography radiologic radiologist radiology radiolucency radiolucent radiopacity radiopaque
rectum redistribution reexpansion remdesivir renal resect resection respirator respiratory reticular reticulation
reticulonodular reticulonodularity retrocardiac retrohilar retrolisthesis retropulsion retrosternal rhonchi rib
rotated rotation rotator sarcoid sarcoidosis sarcoma sarcomatous saturation scaphoid scapula scar scarring schmorl
sclerosis sclerotic scoliosis scoliotic secretion secretory segment segmental seizure semierect semiupright sepsis
septal septic septum serology seropositive serosa serous sharply shift shoulder silhouette silicosis sinus skeletal
skinfold spiculate spinal spindle spine spirometry spleen splenic splenomegaly spondylitic spondylolisthesis
spondylosis spondylotic squamous staphylococcus stenosis stent sternal sternoclavicular sternotomies sternotomy
sternum steroid stomach strandy stratified streptococcus stroke stroma stromal subcapital subcarinal subcentimeter
subchondral subclavian subcutaneous subdiaphragmatic subglottic subluxation submucosa submucosal subphrenic subpleural
subpulmonic subsegmental sulcal sulci sulcus superior supine supraclavicular supradiaphragmatic surgery surgical
suture swan symptom syncytial syndesmophyte syndrome systemic tachycardia tachypnea tachypneic terminate therapeutic
thickening thoracentesis thoracic thoracoabdominal thoracolumbar thoracoplasty thoracoscopic thoracostomy thoracotomy
thorax thrombosis thrombus thymic thymoma thymus thyroid tibia tissue tocilizumab tomogram tomography tortuosity
tortuous toxic trabecular trachea tracheal tracheobronchial tracheomalacia tracheostomy transaminase transbronchial
transect transmetatarsal transpedicular transplant transthoracic transvenous tricompartmental tricuspid troponin tube
tubercle tuberculosis tubular tubule tumor tumour tunneled ulcer ulceration ultrasound uncoil underaerated
underinflated underinflation unfold unfolded unremarkable uptake ureter urothelial uterine uterus vaccine vacuolated
vacuolation vacuole valve valvular valvuloplasty vascular vascularity vasculature vasculitis vasopressor vein vena
venogram venous ventilate ventilation ventilatory ventricle ventricular vertebra vertebrae vertebral vertebroplasty
vesicular vessel villi villous viral virus viscera visceral wedge wheeze xiphoid xray
"""
_ENDINGS = (
    "", "s", "es", "d", "ed", "ing", "ly", "er", "ers", "al", "ally", "ness", "ment", "ion", "ions", "ity", "able",
    "ive", "ively", "ance", "ence", "ation", "ations", "ant", "ent", "ic", "ous",
)  # fmt: skip
_PREFIXES = (
    "un", "non", "re", "sub", "peri", "para", "pre", "post", "inter", "intra", "infra", "supra", "over", "hyper",
    "hypo", "multi", "micro", "mid", "trans", "extra", "ill", "mis", "dis",
)  # fmt: skip


@lru_cache(maxsize=1)
def dictionary() -> frozenset[str]:
    """The English dictionary, in lower case; it is read when the first word is looked up, and takes 10 MB."""
    from symspellpy.symspellpy import SymSpell

    # Distance 0 keeps the words alone, without the table by which misspellings are corrected.
    speller = SymSpell(max_dictionary_edit_distance=0, prefix_length=1)
    if not speller.load_dictionary(str(files("symspellpy") / _DICTIONARY), 0, 1, encoding="utf-8-sig"):
        raise RuntimeError(f"symspellpy holds no {_DICTIONARY}; install the version that constraints.txt names")
    return frozenset(_plain(word) for word in speller.words)


@lru_cache(maxsize=1)
def lexicon() -> frozenset[str]:
    """The words of our own list and of the embedded grammars, in lower case."""
    grammar = " ".join(text for domain in GRAMMARS for text in sentences(domain))
    return words_of(f"{_MEDICAL} {grammar}")


def words_of(text: str) -> frozenset[str]:
    """The words of any text as `is_word` looks them up: one by one, in lower case, without apostrophes."""
    return frozenset(map(_plain, words(text)))


def is_word(text: str, more: frozenset[str] = frozenset()) -> bool:
    """Whether a string of lower-case letters is in the dictionary, or is listed but for a regular ending or prefix.

    Args:
        text: letters, with an apostrophe at most.
        more: words beyond the lists, of `words_of`.
    """
    plain = _plain(text)
    if len(plain) <= SHORT or _known(plain, more):
        return True
    return any(
        len(rest := plain.removeprefix(prefix)) > SHORT and rest != plain and _known(rest, more) for prefix in _PREFIXES
    )


def _plain(text: str) -> str:
    return text.replace("\u2019", "'").removesuffix("'s").replace("'", "")


def _known(text: str, more: frozenset[str]) -> bool:
    return text in dictionary() or _listed(text, more) or any(word in dictionary() for word in _respelled(text))


def _respelled(text: str) -> Iterator[str]:
    """The spellings that differ from this one in one place by British custom."""
    for american, british in _RESPELLED:
        for place in re.finditer(american, text):
            yield text[: place.start()] + british + text[place.end() :]


def _listed(text: str, more: frozenset[str]) -> bool:
    return any(
        stem in lexicon() or stem in more
        for ending in _ENDINGS
        if text.endswith(ending)
        for stem in _stems(text, ending)
    )


def _stems(text: str, ending: str) -> tuple[str, ...]:
    """What `text` may be made of: the stem, with a dropped e, a doubled letter undone, or y for i."""
    stem = text[: len(text) - len(ending)]
    if not ending or len(stem) < SHORT:
        return (text,) if not ending else ()
    undone = (stem[:-1],) if stem[-1] == stem[-2] else ()
    return (stem, stem + "e", *undone, *((stem[:-1] + "y",) if stem.endswith("i") else ()))
